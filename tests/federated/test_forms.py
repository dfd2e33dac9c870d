"""Every form runs, and does what its formula says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated import ServerData, Settings, simulate
from ddapps.federated.agreement import Agreement
from ddapps.federated.forms import FORMS
from ddapps.federated.forms.iterative import begun_from, easily_fitted
from ddapps.federated.forms.updates import first_step, norm, replay
from ddapps.federated.global_model import initial_network
from ddapps.federated.local_training import train_locally
from ddapps.federated.roles import Client
from ddapps.federated.server import Server
from ddapps.federated.wire import Task
from ddcore.errors import SettingsError, UnknownNameError, UnsupportedError
from ddcore.evaluation import TrainingSource
from ddcore.parts import Network
from ddcore.sources import GivenSegment, PerturbedNetworks
from tests.federated.conftest import quick
from tests.lean import lean
from tests.running import FOLLOWING, OF_IMAGES, parameter_gradient, started, untrained_teacher


def relative_error(network: Network, start: Network, end: Network) -> float:
    here, first, last = (
        torch.cat([w.detach().flatten() for w in n.module.parameters()]) for n in (network, start, end)
    )
    return float((here - last).norm() / (first - last).norm())


def client(settings: Settings, target: dd.TargetData, name: str = "0") -> Client:
    return Client(target, settings, name, RecordDict())


def accuracy_of(settings: Settings, weights: Mapping[str, torch.Tensor], data: ServerData) -> float:
    network = initial_network(settings, data.spec)
    network.module.load_state_dict(dict(weights))
    with torch.no_grad():
        logits = network(data.spec.normalisation.apply(data.test.inputs))
    return 100 * float((logits.argmax(dim=1) == data.test.targets).double().mean())


@pytest.mark.parametrize("form", sorted(name for name, form in FORMS.items() if not form.keeps_models))
def test_every_form_runs_and_counts_its_bytes(form: str, parts: list[dd.TargetData], data: ServerData) -> None:
    rounds = 1 if FORMS[form].stays and FORMS[form].sends_summaries else 2
    method = {"method": lean("dd", ipc=1)} if form == "dosfl" else {}
    settings = quick(form=form, rounds=rounds, local_epochs=1, min_clients=2, **method)
    outcome = simulate(settings, parts, data)
    assert [entry["round"] for entry in outcome.history] == list(range(1, rounds + 1))
    assert outcome.accuracy == accuracy_of(settings, outcome.weights, data)
    assert outcome.rejections == ()
    if outcome.union is not None:
        assert "Federated" in dd.cite(outcome.union) or form in ("one-shot", "everything")
    for entry in outcome.history:
        for up in (True, False):
            sent = [t for t in outcome.transfers if t.up == up and t.round == entry["round"]]
            assert sorted(t.node for t in sent) == [1, 2, 3, 4]
            assert entry["bytes_up" if up else "bytes_down"] == sum(t.bytes for t in sent)
            # Weights of this network take more than 5000 bytes with their names and shapes. No
            # summary of these clients does.
            weights = not FORMS[form].sends_summaries if up else FORMS[form].sends_weights
            assert {t.bytes > 5000 for t in sent} == {weights}


@pytest.mark.parametrize("name", sorted(OF_IMAGES))
def test_every_method_serves_as_a_clients(name: str, parts: list[dd.TargetData], data: ServerData) -> None:
    """Two clients with different classes; what each sends is what its own distillation gave."""
    method = lean(name, ipc=1, steps=1)
    if name in FOLLOWING:
        method = method.with_teachers(untrained_teacher(parts[0].spec))
    settings = quick(method=method, ipc=1, steps=0)
    outcome = simulate(settings, parts[:2], data)
    assert outcome.rejections == ()
    assert outcome.union is not None and len(outcome.union.parts) == 2
    for part, target in zip(outcome.union.parts, parts[:2], strict=True):
        examples = part.factorization.restore(part.stored, outcome.union.spec)
        assert set(examples.counts) == {c for c, n in target.counts().items() if n}
    assert outcome.accuracy == accuracy_of(settings, outcome.weights, data)
    first = initial_network(settings, data.spec).module.state_dict()
    assert not any(torch.equal(outcome.weights[name], weight) for name, weight in first.items() if weight.ndim > 1)


def test_a_class_gives_no_more_than_it_has(digits: dd.TargetData, data: ServerData) -> None:
    few = torch.cat([(digits.train.targets == c).nonzero().flatten()[:n] for c, n in ((0, 1), (3, 2), (7, 50))])
    outcome = simulate(quick(method="random", ipc=5), [digits.with_train(few, "few")] * 2, data)
    assert outcome.union is not None
    assert outcome.union.counts == {0: 2, 3: 4, 7: 10}


def test_the_same_seed_gives_the_same_union_and_weights(parts: list[dd.TargetData], data: ServerData) -> None:
    first, second = (simulate(quick(method="dm"), parts, data) for _ in range(2))
    assert first.union is not None and second.union is not None
    assert first.union.sha256() == second.union.sha256()
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert first.union.sha256() != simulate(quick(method="dm", seed=1), parts, data).union.sha256()  # type: ignore[union-attr]


def test_the_union_is_what_the_clients_distil_alone(parts: list[dd.TargetData], data: ServerData) -> None:
    settings = quick(method="dm", storage="float32")
    outcome = simulate(settings, parts, data)
    alone = []
    for index, target in enumerate(parts):
        worker = client(settings, target, str(index))
        method = settings.compression.within(settings.limit(target.spec), target)
        alone.append(dd.distill(target, method, seed=worker.seed(1)))
    inputs, targets = dd.concat(alone).tensors()
    assert outcome.union is not None
    for ours, theirs in zip(outcome.union.tensors(), (inputs, targets), strict=True):
        assert torch.equal(ours, theirs)


def test_a_perturbed_network_lies_on_the_sphere_and_matches_logits_too(digits: dd.TargetData) -> None:
    network = initial_network(quick(), digits.spec)
    centre = torch.cat([w.detach().flatten() for w in network.module.parameters()]).double()
    run = started(digits, networks=PerturbedNetworks(network.module, radius=0.5))
    seen = []
    for _ in range(2):
        (current,) = run.networks.current()
        seen.append(torch.cat([w.detach().flatten() for w in current.module.parameters()]))
        assert float((seen[-1] - centre).norm()) == pytest.approx(0.5, abs=1e-6)
        run.networks.advance()
    assert float((seen[0] - seen[1]).norm()) > 0.5
    inputs = torch.randn(3, *digits.spec.shape, dtype=torch.float64)
    features, logits = current.features_and_logits(inputs)
    assert torch.equal(current.features(inputs), torch.cat([features, logits], dim=1))
    assert current.feature_width == features.shape[1] + 10


def test_feddms_loss_is_that_of_the_means_of_features_and_logits(digits: dd.TargetData) -> None:
    network = initial_network(quick(), digits.spec)
    small = digits.with_train(torch.arange(60), "small")
    run = started(small, networks=PerturbedNetworks(network.module, radius=0.1), micro_batch=100)
    matching = dd.matching.DistributionMatching(real_batch=1000)
    found = parameter_gradient(run, matching)
    (current,) = run.networks.current()
    images = run.examples.groups()["images"][0]
    batch, total = run.examples.decode(), torch.zeros((), dtype=torch.float64)
    for class_id in run.examples.classes:
        real = small.spec.normalisation.apply(small.train.inputs[small.train.targets == class_id], torch.float64)
        mine = batch.inputs[run.examples.indices_of(class_id)]
        for ours, theirs in zip(current.features_and_logits(mine), current.features_and_logits(real), strict=True):
            total = total + (ours.mean(dim=0) - theirs.mean(dim=0).detach()).square().sum()
    (wanted,) = torch.autograd.grad(total, images)
    assert torch.allclose(found, wanted.flatten(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("form", "steps"), [("goetz-tewari", 1), ("fedsynth", 4)])
def test_the_server_arrives_where_the_clients_unrolled_steps_did(form: str, steps: int, digits: dd.TargetData) -> None:
    settings = quick(form=form, ipc=1, inner_steps=steps, local_epochs=1, storage="float32")
    target = digits.with_train(torch.arange(300), "300")
    worker = client(settings, target)
    start = initial_network(settings, digits.spec)
    task = Task(1, "n", {name: w.clone() for name, w in start.module.state_dict().items()})
    trained = train_locally(worker, worker.network(task.weights or {}), 1)
    distances = []
    for few in (1, 40):
        method = replace(settings, steps=few).compression.within(settings.limit(target.spec), target)
        method = method.on_networks(GivenSegment(start.module, trained.module))
        first = first_step(worker, start, trained, steps)
        method = dd.override(method, "matching.step_sizes.initial", first)
        losses: list[float] = []
        summary = dd.distill(target, method, seed=3, callbacks=[lambda p, kept=losses: kept.append(float(p.loss))])
        again = initial_network(settings, digits.spec)
        replay(again, summary, steps)
        distances.append(relative_error(again, start, trained))
    # The loss before the last update, of a run that is almost over, is the squared error of what it
    # sends.
    assert distances[1] ** 2 == pytest.approx(losses[-1], rel=0.005)
    assert distances[1] < 0.75 * distances[0] < 0.75  # 1: nothing of the update is there


def test_one_client_whose_update_is_replayed_moves_the_global_model_there(
    parts: list[dd.TargetData], data: ServerData
) -> None:
    settings = quick(form="goetz-tewari", ipc=1, steps=20, local_epochs=1)
    outcome = simulate(settings, parts[:1], data)
    first = initial_network(settings, data.spec)
    again = initial_network(settings, data.spec)
    assert outcome.union is not None
    replay(again, outcome.union, 1)
    for name, weight in again.module.state_dict().items():
        assert torch.allclose(outcome.weights[name], weight, atol=1e-7)
    assert not all(torch.equal(outcome.weights[n], w) for n, w in first.module.state_dict().items())


def test_updates_are_averaged_by_capped_numbers_of_examples(digits: dd.TargetData, data: ServerData) -> None:
    sizes = (400, 40, 40)
    targets = [digits.with_train(torch.arange(n), str(n)) for n in sizes]
    settings = quick(form="goetz-tewari", ipc=1, steps=5, local_epochs=1, weight_cap=2.0)
    outcome = simulate(settings, targets, data)
    server = Server(settings, data)
    shares = server.shares(list(sizes))
    assert shares == pytest.approx([80 / 160, 40 / 160, 40 / 160])
    assert outcome.union is not None
    agreement, updates = Agreement(settings, data.spec), []
    for index, part in enumerate(outcome.union.parts):
        # Recipes are merged in the union: each client's own step size is found again by its own
        # answer.
        reply = FORMS["goetz-tewari"].answer(client(settings, targets[index], str(index)), Task(1, "n", server.weights))
        record = reply.config_records["summary"]
        words = {"name": "pixels", **part.factorization.decoder()}
        summary = agreement.summary_of(bytes(record["tensors"]), words)  # type: ignore[arg-type]
        replayed = initial_network(settings, data.spec)
        replay(replayed, replace(summary, recipe=dd.Recipe.restore(json.loads(str(record["recipe"])))), 1)
        ends = replayed.module.state_dict()
        updates.append({name: ends[name].double() - weight.double() for name, weight in server.weights.items()})
    lengths = sorted(norm(update) for update in updates)
    for name, weight in server.weights.items():
        moved = sum(
            share * min(1.0, 5 * lengths[1] / norm(update)) * update[name]
            for share, update in zip(shares, updates, strict=True)
        )
        assert torch.allclose(outcome.weights[name].double(), weight.double() + moved, atol=1e-6)


def test_dynamic_weights_draw_what_the_model_fits(digits: dd.TargetData) -> None:
    settings = quick(form="fedmk")
    worker = client(settings, digits)
    network = train_locally(worker, initial_network(settings, digits.spec), 1)
    weights = network.module.state_dict()
    drawn = easily_fitted(worker, weights)
    assert drawn.counts() == digits.counts()

    def loss(target: dd.TargetData) -> float:
        source = TrainingSource.of(target, torch.device("cpu"), torch.float32)
        batch = source.batch_of(torch.arange(source.size))
        with torch.no_grad():
            return float(F.cross_entropy(network(batch.inputs), batch.targets))

    assert loss(drawn) < loss(digits)


def test_meta_knowledge_starts_from_another_clients_images(digits: dd.TargetData) -> None:
    """Classes that both have begin as the other's images, in its order; the rest as own real ones.

    Of fewer images, as many begin so as there are.
    """
    settings = quick(form="fedmk", method="dm", storage="float32", ipc=3)
    first = initial_network(settings, digits.spec)
    weights = dict(first.module.state_dict())
    theirs, mine = digits.of_classes([1, 2]), digits.of_classes([2, 5])
    one_of_two = torch.cat([(theirs.train.targets == c).nonzero().flatten()[:n] for c, n in ((1, 9), (2, 2))])
    reply = FORMS["fedmk"].answer(client(settings, theirs.with_train(one_of_two, "t"), "1"), Task(1, "n", weights))
    record = reply.config_records["summary"]
    task = Task(2, "n", weights, (bytes(record["tensors"]), str(record["part"])))  # type: ignore[arg-type]
    worker = client(settings, mine, "0")
    source = PerturbedNetworks(first.module)
    started = begun_from(worker, mine, task, source)
    known = Agreement(settings, digits.spec).summary_of(task.knowledge[0], json.loads(task.knowledge[1]))  # type: ignore[index]
    ours, others = started.tensors()[0], known.tensors()[0]
    two, five = started.members()[2], started.members()[5]
    assert torch.equal(ours[two[:2]], others[known.members()[2]])
    real = mine.spec.normalisation.apply(mine.train.inputs, torch.float32).flatten(1)
    own = ours[torch.cat([two[2:], five])].flatten(1)
    assert float(torch.cdist(own, real).min(dim=1).values.max()) < 1e-3


def test_proximal_training_stays_near(parts: list[dd.TargetData]) -> None:
    settings = quick(local_epochs=2)
    worker = client(settings, parts[0])
    start = initial_network(settings, parts[0].spec)

    def moved(mu: float) -> float:
        network = train_locally(worker, initial_network(settings, parts[0].spec), 1, proximal_mu=mu)
        pairs = zip(network.module.state_dict().values(), start.module.state_dict().values(), strict=True)
        return float(sum((a - b).square().sum() for a, b in pairs))

    far, near, nearer = moved(0.0), moved(1.0), moved(10.0)
    assert nearer < near < far


def test_local_updates_take_the_place_of_epochs(parts: list[dd.TargetData]) -> None:
    """As many updates as two epochs have are two epochs; one more goes into the third."""
    part = parts[0]
    each = -(-len(part.train) // quick().batch_size)

    def trained(**how: int) -> torch.Tensor:
        settings = quick(**how)
        network = train_locally(client(settings, part), initial_network(settings, part.spec), 1)
        return torch.cat([weight.flatten() for weight in network.module.state_dict().values()])

    two = trained(local_epochs=2)
    assert torch.equal(trained(local_updates=2 * each, local_epochs=1), two)
    assert not torch.equal(trained(local_updates=2 * each + 1), two)


def test_updates_of_the_union_take_the_place_of_epochs() -> None:
    training = quick(updates=70, epochs=3).training.training
    assert [training.updates_for(size) for size in (10, 1000)] == [70, 70] and training.batch_size == 64
    assert "updates" not in quick(updates=70).of_clients()


def test_settings_that_do_not_go_together_are_refused(data: ServerData) -> None:
    with pytest.raises(UnknownNameError, match="unknown form"):
        Settings(form="fedsgd")
    with pytest.raises(
        SettingsError, match=r"distillation\.methd is no setting \(did you mean 'method'\?\): choose among form, method"
    ):
        Settings.from_config({"distillation.methd": "dm"})
    with pytest.raises(SettingsError, match="setting 'ipc' is of kind int"):
        Settings.from_config({"distillation.ipc": "ten"})
    with pytest.raises(UnsupportedError, match="has its own method"):
        Settings(form="fedsynth", method="dm").require_consistent()
    for form in ("fedsynth", "goetz-tewari", "fedavg"):
        with pytest.raises(UnsupportedError, match="choose form 'one-shot' or 'feddm'"):
            Settings(form=form, epsilon=1.0).require_consistent()
    with pytest.raises(SettingsError, match="set epsilon, or counts"):
        Settings(counts="withheld").require_consistent()
    with pytest.raises(UnknownNameError, match="unknown method"):
        Server(quick(method="dmm"), data)


def test_settings_survive_a_flower_configuration() -> None:
    settings = Settings(form="feddm", ipc=3, max_seconds=2.5, screening=True, method="dm/linear-bases(bases=3)")
    config = settings.to_config()
    assert config == {
        "distillation.form": "feddm",
        "distillation.ipc": 3,
        "distillation.max-seconds": 2.5,
        "distillation.screening": True,
        "distillation.method": "dm/linear-bases(bases=3)",
    }
    assert Settings.from_config({**config, "data": "digits", "alpha": 0.1}) == settings
