"""``ddapps privacy``: private distillation, checks of its certificate, audits, comparisons."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ddcore as dd
from ddapps.cli.arguments import (
    IMAGES_HELP,
    act,
    add_actions,
    add_device_option,
    add_device_options,
    add_image_options,
    add_json_option,
    load,
    say,
    write_json,
)
from ddapps.cli.distill import add_run_options, method_from
from ddapps.cli.kinds import existing, number, require_own, summary, whole
from ddapps.cli.parser import add_command
from ddcore.errors import CertificateError, OutputExistsError, SettingsError
from ddcore.images import Standardise

if TYPE_CHECKING:
    from ddapps.privacy import Canaries, PrivateMethod

METHOD_HELP = (
    "psg, dc, dsa, dcc, dm, dd, linba, kfs, gtn; public_subspace (few answers, kept); baselines: mean_features (one noisy "
    "answer), noise (default: psg)"
)
BASELINE_REFUSES = {
    "mean_features": ("network", "preset", "set", "max_grad_norm", "sample_rate"),
    "public_subspace": ("network", "preset", "set", "max_grad_norm", "sample_rate"),
    "noise": ("network", "preset", "set", "max_grad_norm", "sample_rate", "steps", "ledger", "canaries"),
}


run = act


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the commands' words."""
    words = "distill under differential privacy; verify, audit, compare"
    return add_actions(commands, "privacy", words, _add_distill, _add_verify, _add_audit, _add_compare)


def _add_distill(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "distill",
        "distill data into a summary with a certificate",
        "ddapps privacy distill digits --epsilon 5 --delta 1e-4 --out out/psg",
    )
    parser.add_argument("data", metavar="DATA", help=IMAGES_HELP)
    parser.add_argument("--method", default="psg", help=METHOD_HELP)
    add_run_options(parser)
    _add_budget(parser)
    parser.add_argument(
        "--max-grad-norm", type=number(), metavar="C", help="norm to which each example's part is clipped"
    )
    parser.add_argument(
        "--sample-rate",
        type=number(most=1.0, ends=True),
        metavar="Q",
        help="chance of each example to take part in an answer",
    )
    parser.add_argument("--accountant", default="prv", help="prv or rdp (default: prv)")
    parser.add_argument(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="keeps the total spent on this data over runs (default: the one in $DDAPPS_LEDGERS, or ~/.local/share/ddapps/ledgers, that "
        "these records have)",
    )
    parser.add_argument(
        "--ledger-epsilon",
        type=number(),
        help="budget of a new ledger (default: this run's, so that a second is refused)",
    )
    parser.add_argument("--ledger-delta", type=number(most=1.0), help="delta of a new ledger (default: this run's)")
    parser.add_argument(
        "--canaries",
        type=whole(),
        metavar="N",
        help="put odd examples among the data by N coin flips, kept in DIR.private/canaries.json, for 'privacy audit'",
    )
    _add_public_options(parser)
    add_device_options(parser)
    parser.set_defaults(act=_distill)
    return parser


def _add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epsilon", type=number(), required=True, help="privacy budget: below 1 is strong, 10 is weak")
    parser.add_argument("--delta", type=number(most=1.0), required=True, help="below one over the number of examples")


def _add_public_options(parser: argparse.ArgumentParser) -> None:
    add_image_options(parser)
    parser.add_argument(
        "--num-classes", type=whole(), metavar="N", help="declared, where data does not come with names"
    )
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="of an image folder, declared; other folders are left alone"
    )
    parser.add_argument("--shape", metavar="C,H,W", help="of the images of a folder, declared; each is brought to it")
    parser.add_argument(
        "--normalisation",
        default="0.5,0.5",
        metavar="MEAN,STD",
        help="public constants; nothing is fitted to the data (default: 0.5,0.5)",
    )


def _numbers(options: argparse.Namespace, name: str, kind: type, names: str) -> tuple[Any, ...]:
    text = getattr(options, name)
    try:
        return tuple(kind(number) for number, _ in zip(text.split(","), names.split(","), strict=True))
    except ValueError as error:
        raise SettingsError(f"--{name} wants the numbers {names}, not {text!r}") from error


def _public_data(options: argparse.Namespace) -> dd.TargetData:
    mean, std = _numbers(options, "normalisation", float, "MEAN,STD")
    return load(
        options,
        options.data,
        normalisation=Standardise((mean,), (std,)),
        num_classes=options.num_classes,
        classes=None if options.num_classes is None else range(options.num_classes),
        class_names=options.class_names and options.class_names.split(","),
        shape=options.shape and _numbers(options, "shape", int, "C,H,W"),
        split_by="content",
    )


def _distill(options: argparse.Namespace) -> None:
    from ddapps import privacy
    from ddapps.privacy.plan import require_declared

    require_own(options.out, options.overwrite)
    target, out = _public_data(options), options.out
    if options.method in BASELINE_REFUSES:
        _refuse(options, BASELINE_REFUSES[options.method], f"method {options.method}")
    if options.method == "noise":
        require_declared(target)
        summary = dd.distill(target, privacy.baselines.noise(options.ipc), seed=options.seed, device=options.device)
        summary = replace(summary, record={**summary.record, "data_sha256": None})
        summary.save(out, overwrite=options.overwrite)
        print(f"{summary} -> {out} (it asked the data nothing)")
        return
    if options.max_seconds is not None:
        raise SettingsError(
            "--max-seconds would publish how many steps the clock allowed, which depends on the data: say --steps"
        )
    private = _private_method(options, target)
    for change in private.changes:
        say(change)
    ledger = options.ledger or privacy.ledger_of(target)  # of the data without canaries
    if options.canaries is not None:
        if options.overwrite and ledger.exists():
            raise SettingsError(
                f"new canaries would make other data of those that {ledger} remembers: leave out --overwrite, or name another --ledger, "
                "which is another budget"
            )
        target = _canaries(options, out).planted(target)
    budget = None
    if options.ledger_epsilon is not None or options.ledger_delta is not None:
        epsilon, delta = options.ledger_epsilon, options.ledger_delta
        budget = (options.epsilon if epsilon is None else epsilon, options.delta if delta is None else delta)
    summary = private.distill(
        target,
        seed=options.seed,
        out=out,
        ledger=ledger,
        ledger_budget=budget,
        overwrite=options.overwrite,
        device=options.device,
        precision=options.precision,
        checkpoint_seconds=options.checkpoint_seconds,
        progress=not options.quiet,
    )
    certificate = privacy.Certificate.of(summary)
    print(f"{summary} -> {out}")
    print(f"charged to {ledger}")
    print(
        f"epsilon {certificate.epsilon:.4f} at delta {certificate.delta:g}, to {certificate.adjacency}: {certificate.steps} "
        f"answers with noise multiplier {certificate.queries[-1][0]:.4g} at sampling rate {certificate.queries[-1][1]:.4g}"
    )


def _private_method(options: argparse.Namespace, target: dd.TargetData) -> PrivateMethod:
    from ddapps import privacy

    budget = {"epsilon": options.epsilon, "delta": options.delta, "accountant": options.accountant}
    counts = target.counts()
    whole: dict[str, Callable[..., PrivateMethod]] = {
        "mean_features": privacy.baselines.mean_features,
        "public_subspace": privacy.public_subspace,
    }
    if options.method in whole:
        steps = {} if options.steps is None else {"steps": options.steps}
        return whole[options.method](target, **budget, ipc=options.ipc, counts=counts, **steps)
    return privacy.privatize(
        method_from(options, target.spec),
        **budget,
        max_grad_norm=options.max_grad_norm,
        sample_rate=options.sample_rate,
        counts=counts,
    )


def _refuse(options: argparse.Namespace, names: Sequence[str], what: str) -> None:
    given = [name for name in names if getattr(options, name) not in (None, [])]
    if given:
        raise SettingsError(f"--{given[0].replace('_', '-')} means nothing for {what}: leave it out")


def _canaries(options: argparse.Namespace, out: Path) -> Canaries:
    """Return new canaries, or those of an interrupted run."""
    from ddapps.privacy import Canaries, private_folder

    path = private_folder(out) / "canaries.json"
    if path.exists() and not options.overwrite:
        canaries = Canaries.load(path)
        if len(canaries.inserted) != options.canaries:
            raise SettingsError(
                f"{path} holds {len(canaries.inserted)} canaries, not {options.canaries}: say the same, or --overwrite"
            )
        return canaries
    if (out / "config.json").exists() and not options.overwrite:
        raise OutputExistsError(
            f"{out} holds a summary that was made without canaries: choose another --out, or --overwrite"
        )
    path.unlink(missing_ok=True)
    canaries = Canaries.flip(options.canaries)
    canaries.save(path)
    return canaries


def _add_verify(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "verify",
        "check a summary's privacy certificate",
        "ddapps privacy verify out/psg",
    )
    parser.add_argument("summary", type=summary, metavar="DIR", help="a summary, as 'privacy distill' wrote it")
    add_json_option(parser)
    parser.set_defaults(act=_verify)
    return parser


def _verify(options: argparse.Namespace) -> None:
    from ddapps import privacy

    found = privacy.verify(dd.DataSummary.load(options.summary))
    if options.json != "-":
        print(f"epsilon {found.epsilon:.6g} at delta {found.delta:g}: {'holds' if found.holds else 'does not hold'}")
        for name, bound in found.accountants.items():
            print(f"  {name}: {bound:.6g}")
    if options.json is not None:
        write_json(found.to_json(), options.json)
    if not found.holds:
        raise CertificateError(f"the certificate does not hold: {'; '.join(found.problems)}. Do not rely on it")


def _add_audit(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "audit",
        "attack a summary: evidence, not proof",
        "ddapps privacy audit out/psg --data digits",
    )
    parser.add_argument("summary", type=summary, metavar="DIR", help="a summary, private or not")
    parser.add_argument("--data", required=True, metavar="DATA", help=f"that it was made of: {IMAGES_HELP}")
    parser.add_argument(
        "--canaries",
        type=existing("DIR.private/canaries.json, which 'ddapps privacy distill --canaries N' wrote"),
        metavar="FILE",
        help="of 'privacy distill --canaries'",
    )
    parser.add_argument("--network", default="convnet", help="trained on the summary (default: convnet)")
    parser.add_argument("--protocol", default="quick", help="how it is trained (default: quick)")
    parser.add_argument("--models", type=whole(), default=3, help="trained networks (default: 3)")
    parser.add_argument(
        "--confidence", type=number(most=1.0), default=0.95, help="of the bound on epsilon (default: 0.95)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of the trained networks (default: 0)")
    add_device_option(parser)
    add_json_option(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_image_options(parser)
    parser.set_defaults(act=_audit)
    return parser


def _audit(options: argparse.Namespace) -> None:
    from ddapps import privacy

    summary = dd.DataSummary.load(options.summary)
    target = load(options, options.data, like=summary.spec)
    found = privacy.audit(
        summary,
        target,
        canaries=None if options.canaries is None else privacy.Canaries.load(options.canaries),
        network=options.network,
        protocol=options.protocol,
        models=options.models,
        confidence=options.confidence,
        seed=options.seed,
        device=options.device,
        progress=None if options.quiet else say,
    )
    if options.json != "-":
        for name, attack in found.attacks.items():
            print(f"{name:<16} AUC {attack.auc:.3f}, true positives at 1 % false ones {attack.tpr_at_1_fpr:.3f}")
        if found.epsilon_lower_bound is not None:
            print(
                f"epsilon is at least {found.epsilon_lower_bound:.3f} ({found.confidence:.0%}, {found.trials} canaries)"
            )
        print("evidence, not proof: stronger attacks may exist")
    if options.json is not None:
        write_json(found.to_json(), options.json)


def _add_compare(actions: Any) -> argparse.ArgumentParser:
    parser = add_command(
        actions,
        "compare",
        "methods and baselines at one budget",
        "ddapps privacy compare digits --epsilon 5 --delta 1e-4",
    )
    parser.add_argument("data", metavar="DATA", help=IMAGES_HELP)
    parser.add_argument(
        "--methods",
        default="psg,dm,mean_features,dp_sgd,noise",
        help="comma-separated: private methods, and public_subspace, mean_features, dp_sgd, noise (default: psg,dm,mean_features,dp_sgd,noise)",
    )
    _add_budget(parser)
    parser.add_argument("--ipc", type=whole(), default=10, help="examples per class (default: 10)")
    parser.add_argument("--runs", type=whole(), default=5, help="networks per method, dp_sgd included (default: 5)")
    parser.add_argument("--protocol", default="dc", help="of the evaluation (default: dc)")
    parser.add_argument("--network", default="convnet", help="evaluated (default: convnet)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of public random numbers (default: 0)")
    add_json_option(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_public_options(parser)
    add_device_options(parser)
    parser.set_defaults(act=_compare)
    return parser


def _compare(options: argparse.Namespace) -> None:
    from ddapps import privacy

    found = privacy.compare(
        _public_data(options),
        [name.strip() for name in options.methods.split(",")],
        epsilon=options.epsilon,
        delta=options.delta,
        ipc=options.ipc,
        runs=options.runs,
        protocol=options.protocol,
        network=options.network,
        seed=options.seed,
        device=options.device,
        progress=None if options.quiet else say,
    )
    if options.json != "-":
        print(found)
    if options.json is not None:
        write_json(found.to_json(), options.json)
