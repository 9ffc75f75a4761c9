"""What Failure promises: an exception that can be kept, asked about and raised again."""

import gc
import io
import pickle
import weakref
from collections.abc import Generator

import pytest

from ropewalk.internet.failure import Failure, NoCurrentExceptionError


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Local:
    """Something that lives in the frame of an exception."""


def raised(error: BaseException) -> Failure[BaseException]:
    try:
        raise error
    except BaseException:
        return Failure()


def test_it_takes_the_exception_that_is_being_handled():
    error = ValueError("a")
    failure = raised(error)
    assert failure.value is error
    assert failure.type is ValueError
    assert failure.tb is failure.getTracebackObject() is error.__traceback__


def test_without_a_current_exception_it_says_what_to_do():
    with pytest.raises(NoCurrentExceptionError, match="inside an except block"):
        Failure()


def test_it_takes_an_exception_that_was_never_raised():
    failure = Failure(ValueError("a"))
    assert failure.tb is None
    assert failure.getErrorMessage() == "a"


def test_it_takes_over_another_failure():
    original = raised(ValueError("a"))
    copy = Failure(original)
    assert (copy.value, copy.type, copy.tb) == (original.value, ValueError, original.tb)


def test_what_is_no_exception_is_refused():
    with pytest.raises(TypeError, match="not 'text'"):
        Failure("text")  # type: ignore[type-var]


def test_check_returns_the_first_class_that_matches():
    failure = Failure(KeyError("k"))
    assert failure.check(ValueError, LookupError, KeyError) is LookupError


def test_check_returns_none_when_nothing_matches():
    assert Failure(KeyError("k")).check(ValueError, "builtins.ValueError") is None
    assert Failure(KeyError("k")).check() is None


def test_check_takes_dotted_names_of_classes_and_their_bases():
    failure = Failure(KeyError("k"))
    assert failure.check("builtins.ValueError", "builtins.LookupError") == "builtins.LookupError"


def test_check_knows_exceptions_that_are_no_subclass_of_exception():
    assert Failure(KeyboardInterrupt()).check(KeyboardInterrupt) is KeyboardInterrupt


def test_trap_returns_what_matched():
    assert Failure(KeyError("k")).trap(ValueError, KeyError) is KeyError


def test_trap_raises_the_exception_itself_when_nothing_matches():
    error = KeyError("k")
    with pytest.raises(KeyError) as caught:
        raised(error).trap(ValueError)
    assert caught.value is error


def test_raising_again_does_not_make_the_traceback_longer():
    failure = raised(ValueError("a"))
    lengths = set()
    for _ in range(3):
        with pytest.raises(ValueError, match="a") as caught:
            failure.raiseException()
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1


def test_the_raised_exception_still_shows_where_it_came_from():
    with pytest.raises(ValueError, match="a") as caught:
        raised(ValueError("a")).raiseException()
    assert caught.traceback[-1].name == "raised"


def test_it_is_thrown_into_a_generator_where_that_yielded():
    def generator() -> Generator[str, None, None]:
        try:
            yield "first"
        except ValueError as error:
            yield f"caught {error}"

    g = generator()
    next(g)
    assert Failure(ValueError("a")).throwExceptionIntoGenerator(g) == "caught a"


def test_a_generator_that_returns_when_it_is_thrown_in_stops():
    def generator() -> Generator[None, None, str]:
        try:
            yield
        except ValueError:
            return "done"

    g = generator()
    next(g)
    with pytest.raises(StopIteration) as stopped:
        Failure(ValueError()).throwExceptionIntoGenerator(g)
    assert stopped.value.value == "done"


def test_the_message_of_an_exception_that_cannot_be_printed_is_still_told():
    assert Failure(Unprintable()).getErrorMessage() == "<unprintable Unprintable object>"


def test_the_traceback_reads_as_the_interpreter_prints_it():
    lines = raised(ValueError("a")).getTraceback().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "raise error" in "".join(lines)
    assert lines[-1] == "ValueError: a"


def test_the_traceback_shows_the_cause():
    try:
        raise ValueError("outer") from KeyError("inner")
    except ValueError:
        text = Failure().getTraceback()
    assert text.index("KeyError: 'inner'") < text.index("ValueError: outer")


def test_the_brief_traceback_has_one_line_for_each_frame():
    first, frame = raised(ValueError("a")).getBriefTraceback().splitlines()
    assert first == "Traceback: <class 'ValueError'>: a"
    assert frame.startswith(__file__)
    assert frame.endswith(":raised")


def test_the_brief_traceback_of_an_exception_that_was_never_raised_says_so():
    assert Failure(ValueError("a")).getBriefTraceback() == (
        "Traceback (failure with no frames): <class 'ValueError'>: a\n"
    )


def test_printing_goes_to_the_file_that_is_given():
    file = io.StringIO()
    failure = raised(ValueError("a"))
    failure.printTraceback(file)
    failure.printBriefTraceback(file)
    assert file.getvalue() == failure.getTraceback() + failure.getBriefTraceback()


def test_printing_without_a_file_goes_to_standard_error(capsys: pytest.CaptureFixture[str]):
    failure = Failure(ValueError("a"))
    failure.printTraceback()
    assert capsys.readouterr().err == failure.getTraceback()


def test_repr_names_the_exception():
    assert repr(Failure(ValueError("a"))) == "<ropewalk.internet.failure.Failure builtins.ValueError: a>"


def test_str_is_the_brief_traceback():
    failure = raised(ValueError("a"))
    assert str(failure) == f"[Failure instance: {failure.getBriefTraceback()}]"


def test_a_pickled_failure_keeps_the_exception_and_the_text_of_the_traceback():
    failure = raised(ValueError("a"))
    copy = pickle.loads(pickle.dumps(failure))
    assert copy.check(ValueError)
    assert copy.getErrorMessage() == "a"
    assert copy.getTracebackObject() is None
    assert copy.getTraceback() == failure.getTraceback()
    assert copy.getBriefTraceback() == failure.getBriefTraceback()


def test_a_pickled_failure_raises_its_exception():
    copy = pickle.loads(pickle.dumps(raised(ValueError("a"))))
    with pytest.raises(ValueError, match="a"):
        copy.raiseException()


def test_cleaning_lets_go_of_the_frames_and_keeps_the_text():
    def fail() -> weakref.ref[Local]:
        local = Local()
        watched = weakref.ref(local)
        kept.append(raised_with(local))
        return watched

    def raised_with(local: Local) -> Failure[BaseException]:
        try:
            raise ValueError("a")
        except ValueError:
            return Failure()

    kept: list[Failure[BaseException]] = []
    watched = fail()
    assert watched() is not None
    text = kept[0].getTraceback()
    kept[0].cleanFailure()
    assert watched() is None
    assert kept[0].getTraceback() == text
    assert kept[0].tb is None


def test_a_program_may_hang_things_on_it():
    failure = Failure(ValueError())
    failure.request = "GET"  # type: ignore[attr-defined]
    assert Failure(failure).request == "GET"  # type: ignore[attr-defined]


@pytest.mark.parametrize("again", ["raiseException", "trap"])
def test_raising_again_leaves_no_reference_cycle(again: str):
    class Error(Exception):
        pass

    def fail() -> Failure[BaseException]:
        try:
            raise Error
        except Error:
            return Failure()

    def use() -> weakref.ref[BaseException]:
        failures = [fail()]
        watched = weakref.ref(failures[0].value)
        with pytest.raises(Error):
            getattr(failures.pop(), again)()
        return watched

    gc.collect()
    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()
