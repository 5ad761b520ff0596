from __future__ import annotations

import pytest
import torch

from real3d_portrait.models.compact.audio_to_motion import A2M, A2MConfig

CONFIG = A2MConfig(features=5, expression=3, hidden=8, latent=4, flow_hidden=4, dropout=0.0)


@pytest.fixture
def network() -> A2M:
    torch.manual_seed(0)
    network = A2M(CONFIG).eval()
    for shift in network.prior.shifts:  # they start at zero, where the flow does nothing
        torch.nn.init.normal_(shift.weight)
    return network


def test_shapes(network: A2M) -> None:
    output = network(torch.randn(2, 64, 5), torch.randn(2, 16, 3))
    assert output.expression.shape == output.regression.shape == (2, 16, 3)
    assert output.kl.shape == ()
    assert network.sample(torch.randn(2, 64, 5), torch.randn(2, 4, 4)).shape == (2, 16, 3)


def test_a_length_that_is_no_multiple_is_refused(network: A2M) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        network.sample(torch.randn(1, 60, 5), torch.randn(1, 4, 4))


def test_the_flow_is_undone_by_its_inverse(network: A2M) -> None:
    z, context = torch.randn(2, 4, 6), torch.randn(2, 8, 24)
    noise = network.prior(z, context)
    assert (noise - z).abs().max() > 0.1
    torch.testing.assert_close(network.prior.inverse(noise, context), z, atol=1e-5, rtol=1e-5)


def test_the_flow_keeps_volume(network: A2M) -> None:
    context = torch.randn(1, 8, 8)

    def flow(z: torch.Tensor) -> torch.Tensor:
        return network.prior(z.view(1, 4, 2), context).flatten()

    jacobian = torch.autograd.functional.jacobian(flow, torch.randn(8))
    assert torch.linalg.det(jacobian).abs().item() == pytest.approx(1, rel=1e-4)


def test_temperature_zero_is_the_priors_mode(network: A2M) -> None:
    features = torch.randn(1, 64, 5)
    mode = network(features, torch.randn(1, 16, 3)).regression
    torch.testing.assert_close(network.sample(features, torch.zeros(1, 4, 4)), mode)


def test_a_frame_depends_on_no_more_than_the_stated_context(network: A2M) -> None:
    frames, middle = 240, 120
    features = torch.randn(1, 4 * frames, 5, requires_grad=True)
    noise = torch.randn(1, 4, frames // 4, requires_grad=True)
    network.sample(features, noise)[0, middle].sum().backward()
    heard = features.grad[0].abs().sum(1).view(frames, 4).sum(1).nonzero().flatten()
    drawn = noise.grad[0].abs().sum(0).nonzero().flatten() * 4
    for reached in (heard, drawn):
        assert middle - network.context <= reached.min()
        assert reached.max() <= middle + network.context
    assert network.context < 120


def test_the_kl_term_is_that_of_two_normals(network: A2M) -> None:
    # Posterior N(0, s²) against a prior without flow: KL = (s² - 1) / 2 - ln s for each latent number.
    for shift in network.prior.shifts:
        torch.nn.init.zeros_(shift.weight)
        torch.nn.init.zeros_(shift.bias)
    torch.nn.init.zeros_(network.posterior.output.weight)
    log_variance = 1.0
    network.posterior.output.bias.data = torch.tensor([0.0] * 4 + [log_variance] * 4)
    got = network(torch.randn(8, 1600, 5), torch.randn(8, 400, 3)).kl.item()
    assert got == pytest.approx((2.71828 - 1) / 2 - 0.5 * log_variance, abs=0.06)


@pytest.mark.slow
def test_it_learns_a_mouth_that_follows_the_loudness() -> None:
    torch.manual_seed(0)
    network = A2M(CONFIG)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        features = torch.nn.functional.avg_pool1d(torch.randn(6, 5, 64 + 14), 15, 1).transpose(1, 2) * 4
        true = features[:, ::4, :1] * torch.tensor([1.0, -1.0, 0.0])
        output = network(features, true)
        loss = sum((e - true).square().mean() for e in output[:2]) + 0.01 * output.kl
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    predicted = network.sample(features, torch.zeros(6, 4, 4))
    assert torch.corrcoef(torch.stack([predicted[..., 0].flatten(), true[..., 0].flatten()]))[0, 1] > 0.8
