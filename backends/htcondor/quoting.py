"""The two dialects in which values reach HTCondor: ClassAd strings, and lines of a submit description.

https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html and
https://htcondor.readthedocs.io/en/latest/classads/classad-mechanism.html
"""

from collections.abc import Iterable

from prominence_hpc.errors import BackendError

__all__ = ["classad_list", "classad_string", "submit_value"]

# "$" is an escape as well: submit descriptions expand $(NAME), $$(NAME), $ENV(NAME), $INT(…)
# wherever they stand, in ClassAd strings too.
_PLAIN = frozenset(map(chr, range(32, 127))) - frozenset('"\\$')


def classad_string(text: str) -> str:
    r"""``text`` as a ClassAd string literal that is ASCII, one line, and safe in a submit description.

    >>> print(classad_string('a "b" $(HOME)\n'))
    "a \042b\042 \044(HOME)\012"
    """
    if "\0" in text:
        msg = f"HTCondor cannot keep {text!r}: a NUL character ends its strings."
        raise BackendError(msg)
    characters = (chr(byte) for byte in text.encode("utf-8", "surrogateescape"))
    return f'"{"".join(_octal(character) for character in characters)}"'


def classad_list(texts: Iterable[str]) -> str:
    """A ClassAd list of strings.

    >>> classad_list(["a=1", "b=2"])
    '{ "a=1", "b=2" }'
    """
    return f"{{ {', '.join(classad_string(text) for text in texts)} }}"


def submit_value(text: str) -> str:
    """``text`` as the value of a submit command that takes the rest of its line, such as ``initialdir``.

    Raises BackendError where no such line can say it: line ends, or blanks at its ends.

    >>> submit_value("/home/$(USER)/a b")
    '/home/$(DOLLAR)(USER)/a b'
    """
    if text != text.strip() or any(character in text for character in "\r\n\0"):
        msg = (
            f"HTCondor cannot be told of {text!r}: a line break, or a blank at its end; "
            "choose another state folder (PROMINENCE_HOME)."
        )
        raise BackendError(msg)
    return text.replace("$", "$(DOLLAR)")


def _octal(character: str) -> str:
    return character if character in _PLAIN else f"\\{ord(character):03o}"
