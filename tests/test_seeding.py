from cifarlab.base.seeding import derive


def test_stable_and_spread() -> None:
    assert derive("order", 0, 0) == 7453028512061360496
    seeds = {derive("order", seed, epoch) for seed in range(50) for epoch in range(50)}
    assert len(seeds) == 2500 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive("a", 1, 11) != derive("a", 11, 1)
