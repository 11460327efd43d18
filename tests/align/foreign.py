"""A Transformers model with our calling convention, for tests against TRL."""

from torch import nn


class Foreign(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens, segments=None):
        return self.unembed(self.hidden(tokens))

    def hidden(self, tokens):
        return self.model.model(tokens).last_hidden_state

    def unembed(self, hidden):
        return self.model.lm_head(hidden)
