"""The process in which a user's reward function runs: JSON lines in, JSON lines out.

Started as a script with the file and the function's name; imports nothing of ours.
"""

import json
import os
import runpy
import sys


def main(path: str, name: str) -> None:
    """Answer every line of standard input until it ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the function prints is no reply

    def reply(**what: object) -> None:
        replies.write(json.dumps(what) + "\n")
        replies.flush()

    try:
        sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
        function = runpy.run_path(path)[name]
    except KeyError:
        reply(error=f"it defines no '{name}'")
        return
    except BaseException as error:
        reply(error=f"{type(error).__name__} ({error})")
        return
    reply(ready=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            found = function(question["prompt"], question["answer"], question["record"])
            reply(reward=float(found))
        except BaseException as error:
            reply(error=f"{type(error).__name__} ({error})")


if __name__ == "__main__":
    main(*sys.argv[1:])
