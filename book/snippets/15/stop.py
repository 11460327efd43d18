from hornbook.infer.text import Writer

PIECES = ["It is 4", "2.", "\nUs", "er", "s know.", "\nUser", ": and"]


class Pieces:
    def push(self, token):
        return PIECES[token]

    def flush(self):
        return ""


writer = Writer(Pieces(), stop=("\nUser:",))
for token in range(len(PIECES)):
    print(repr(PIECES[token]).ljust(12), "->", repr(writer.push(token)))
