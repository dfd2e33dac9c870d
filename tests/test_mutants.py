from __future__ import annotations

from tests.mutants import ROOT, mutants


def test_every_mutant_still_finds_its_place() -> None:
    everything = mutants()
    assert len(everything) == len({m.what for m in everything})
    for mutant in everything:
        assert (ROOT / mutant.file).read_text().count(mutant.find) == 1, mutant.what
        assert mutant.replace != mutant.find, mutant.what
        for test in mutant.tests:
            assert (ROOT / test.partition("::")[0]).is_file(), mutant.what
