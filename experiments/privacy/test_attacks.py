"""The attacks that `docs/privacy.md` rests on do what they say, and ε is what it is."""

from __future__ import annotations

import pytest
import torch

from experiments.privacy.inversion import (
    by_division,
    by_matching,
    class_means,
    planned,
    psnr,
    updates,
)
from experiments.privacy.membership import attack, rates, shadows_of
from experiments.privacy.noise import exact_epsilon, mu_of, privately
from experiments.privacy.world import Cases, World, likeness, local

WORLD = World.of(0)
BASE = WORLD.genesis.detach()


def first_cases(who: int, count: int) -> Cases:
    return Cases(WORLD.clients[who].x[:count], WORLD.clients[who].y[:count])


def test_rates_count_pairs_and_non_members_by_their_weights() -> None:
    members, others = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0])
    equal = rates(members, others, torch.tensor([0.5, 0.5]))
    assert (equal.auc, equal.true) == (0.75, 0.5)  # 3 > 2, 3 > 0, 1 > 0 of four
    # A non-member of weight 0.005 may be mistaken for a member at 1 %.
    rare = rates(members, others, torch.tensor([0.005, 0.995]))
    assert rare.auc == pytest.approx(0.9975)
    assert rare.true == 1.0


def test_rates_of_scores_that_say_nothing_are_chance() -> None:
    alike = rates(torch.zeros(5), torch.zeros(4), torch.full((4,), 0.25))
    assert (alike.auc, alike.true) == (0.5, 0.0)


def test_division_gives_the_only_case_of_a_step_back() -> None:
    cases = first_cases(3, 1)
    found = by_division(local(WORLD, BASE, cases, 1) - BASE)
    assert psnr(found, cases.x.flatten(1)).max() > 50


def test_unrolled_training_is_training() -> None:
    seeds = list(range(20))
    plan = planned(WORLD.clients, seeds)
    trained = [local(WORLD, BASE, c, s) for c, s in zip(WORLD.clients, seeds, strict=True)]
    made = updates(BASE, plan, plan.x)
    assert torch.allclose(made, torch.stack(trained) - BASE, atol=1e-6)
    assert torch.allclose(plan.averaged(made), WORLD.shares @ made, atol=1e-6)


def test_matching_comes_closer_than_the_class_mean() -> None:
    cases, means = first_cases(3, 1), class_means(WORLD.pool)
    plan, seen = planned([cases], [1]), local(WORLD, BASE, cases, 1) - BASE
    found = by_matching(BASE, seen[None], plan, means, averaged=False, steps=100)
    assert psnr(found, plan.truth).item() > psnr(means[plan.y][plan.mask], plan.truth).item() + 3


def test_updates_give_members_away_and_noise_hides_them() -> None:
    noise, plain, noised = torch.Generator().manual_seed(0), [], []
    for victim in WORLD.clients[3:7]:
        update = local(WORLD, BASE, victim, 1) - BASE
        shadows = shadows_of(WORLD, BASE, victim, 2, count=2)
        hidden = update + torch.randn(len(update), generator=noise)
        plain.append(attack(WORLD, victim, BASE, update, shadows)["filter"].auc)
        noised.append(attack(WORLD, victim, BASE, hidden, shadows)["filter"].auc)
    assert sum(plain) / 4 > 0.6 > sum(noised) / 4


def test_a_likeness_is_off_by_half_a_level_at_most() -> None:
    update = local(WORLD, BASE, WORLD.clients[3], 1) - BASE
    off = (likeness(BASE + update, BASE) - BASE - update).abs().max()
    assert 0 < off <= update.abs().max() / 127 / 2 * 1.01


def test_epsilon_of_gaussian_noise_is_exact() -> None:
    # δ(1) at μ = 1: Φ(−½) − e Φ(−1½) = 0.308538 − 2.718282 · 0.066807 = 0.126937
    assert exact_epsilon(1.0, 0.126937) == pytest.approx(1.0, abs=1e-4)
    # Flower's formula is safe at ε = 1, and not at 100.
    assert exact_epsilon(mu_of(1.0)) < 1
    assert exact_epsilon(mu_of(100.0)) > 200
    assert mu_of(1.0, messages=4) == 2 * mu_of(1.0)


def test_flowers_mod_cuts_and_noises_as_its_formula_says() -> None:
    update = torch.ones(4096) / 64  # of length 1
    cut = privately(torch.zeros(4096), update, epsilon=1e9, clip=0.5)
    assert cut.norm().item() == pytest.approx(0.5, rel=1e-5)
    # σ = 2 · 0.5 · √(2 ln 125000) / 10 = 0.48448
    noise = privately(torch.zeros(4096), update, epsilon=10.0, clip=0.5) - cut
    assert noise.std().item() == pytest.approx(0.48448, rel=0.06)
