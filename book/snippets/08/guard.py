from hornbook.train.config import GuardConfig
from hornbook.train.guard import Guard

guard = Guard(GuardConfig())
for step in range(30):
    guard.healthy(step, loss=4.0 - 0.03 * step, norm=1.0)
print(guard.judge(loss=3.2, norm=1.0) or "fine")
print(guard.judge(loss=5.0, norm=1.0))
print(guard.judge(loss=3.1, norm=float("inf")))
back = guard.strike(30, "a spike")
print("go back:", back, "- next batch:", guard.batch_of(30))
