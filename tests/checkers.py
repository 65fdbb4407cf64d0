"""What the tests of every chapter's checkers ask: right answers pass, and each slip gets its own single line."""


def passes(checker, answer, capsys):
    checker(answer)
    line = capsys.readouterr().out
    assert line.startswith("✓ Right"), line


def names_the_slip(checker, answer, sentences, capsys):
    """The one line that comes holds one of `sentences`."""
    checker(answer)
    line = capsys.readouterr().out
    assert line.startswith("✗ ") and line.count("\n") == 1, line
    assert any(sentence in line for sentence in sentences), line


def says(checker, answer, words, capsys):
    """One line with these words, which passes only where the words are the tick itself."""
    checker(answer)
    line = capsys.readouterr().out
    assert words in line and line.count("\n") == 1, line
    assert line.startswith("✓" if words == "✓" else "✗"), line
