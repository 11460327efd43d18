"""The command line: gathers the commands and turns a user's mistakes into one sentence."""

import errno
import sys

import click

from hornbook import __version__
from hornbook.commands import (
    align,
    book,
    data,
    launch,
    measures,
    models,
    recipes,
    tokenizers,
)
from hornbook.core.errors import StoppedEarly, UserError

START_AGAIN = 75  # the status that says so: EX_TEMPFAIL of sysexits.h


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hornbook")
def commands() -> None:
    """Build a large language model from scratch: raw text in, a chat model out."""


for command in (
    *(recipes.run, recipes.new, recipes.recipes, recipes.verify),
    *(recipes.ablate, recipes.plan, recipes.scale),
    *(data.curate, data.why, data.classifier),
    *(tokenizers.tokens, tokenizers.tokenizer),
    *(models.describe, models.presets, models.import_, models.chat),
    *(models.generate, models.quantize, models.export, models.serve),
    *(measures.evaluate, measures.compare, measures.tasks),
    *(align.inspect, align.rejection_sample),
    *(launch.launch, launch.units),
    book.check,
):
    commands.add_command(command)


def main() -> None:
    """Entry point of the ``hornbook`` command: a user's mistakes end in one sentence."""
    try:
        commands(standalone_mode=False)
    except UserError as error:
        _stop(f"hornbook: {error}", 1)
    except StoppedEarly as stopped:
        _stop(f"hornbook: {stopped}", START_AGAIN)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _stop(
            "\nStopped. What was finished is kept; the same command goes on from there.",
            130,
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(disk_full(error.filename), 1)


def disk_full(name: str | None) -> str:
    """The sentence for a disk without room."""
    where = f" while writing {name}" if name else ""
    return (
        f"hornbook: The disk is full{where}. Nothing half-written was kept as whole; "
        "free some room and run the same command again."
    )


def _stop(message: str, status: int) -> None:
    click.echo(message, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
