"""The dialects in which values reach HTCondor: ClassAd strings, submit descriptions' lines, arguments.

https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html and
https://htcondor.readthedocs.io/en/latest/classads/classad-mechanism.html
"""

from collections.abc import Iterable

from prominence_hpc.errors import BackendError

__all__ = ["arguments", "classad_list", "classad_string", "readable", "submit_value"]


def arguments(words: Iterable[str]) -> str:
    """A command line in one text, by the rules of condor_submit(1), "arguments", without its quotes.

    >>> print(arguments(["/bin/cat", "it's here"]))
    '/bin/cat' 'it''s here'
    """
    return " ".join("'" + word.replace("'", "''") + "'" for word in words)


def readable(text: str) -> str:
    r"""``text`` with what a job's record cannot hold written as JSON escapes, ``\u000a``.

    A record is kept line by line, and knows no escape but that of a quote; submit descriptions
    expand ``$(NAME)`` and ``$ENV(NAME)``, and ``$$(NAME)`` in a record are expanded when the job
    starts. What the contract allows in names and labels is left as it is.

    >>> print(readable('$(HOME) "x"'))
    \u0024(HOME) \u0022x\u0022
    """
    return "".join(_escaped(character) for character in text)


def classad_string(text: str) -> str:
    """A ClassAd string literal of :func:`readable` text.

    >>> print(classad_string("a b-c"))
    "a b-c"
    """
    return f'"{readable(text)}"'


def classad_list(texts: Iterable[str]) -> str:
    """A ClassAd list of strings.

    >>> classad_list(["a=1", "b=2"])
    '{ "a=1", "b=2" }'
    """
    return f"{{ {', '.join(classad_string(text) for text in texts)} }}"


def submit_value(text: str) -> str:
    """``text`` as the value of a submit command that takes its whole line, like ``initialdir``.

    Raises BackendError where no such line, or no record, can hold it: control characters, blanks
    at its ends, a backslash there (the next line would belong to it), two ``$`` side by side.

    >>> submit_value("/home/$(USER)/a b")
    '/home/$(DOLLAR)(USER)/a b'
    """
    if (
        text != text.strip()
        or text.endswith("\\")
        or "$$" in text
        or any(_is_control(character) for character in text)
    ):
        msg = (
            f"HTCondor cannot be told of the path {text!r}: it has a control character, a blank or "
            "backslash at an end, or two $ side by side; choose another state folder "
            "(PROMINENCE_HOME)."
        )
        raise BackendError(msg)
    return text.replace("$", "$(DOLLAR)")


def _escaped(character: str) -> str:
    number = ord(character)
    if character in '"\\$' or _is_control(character) or 0xD800 <= number <= 0xDFFF:
        return f"\\u{number:04x}"
    return character


def _is_control(character: str) -> bool:
    # Line ends beyond ASCII too: what reads a record line by line may know them.
    return not character.isprintable() and character != " " and ord(character) <= 0xFFFF
