"""`Network`: any module, with its features at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from weakref import WeakSet

import torch
from torch import Tensor, nn

from ddcore.errors import UnknownNameError, UnsupportedError

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardswish)

_WRAPPED: WeakSet[nn.Module] = WeakSet()


class Network(nn.Module):
    """A classifier whose inner features can be asked for.

    Args:
        module: maps ``n x ...`` to logits ``n x num_classes``.
        head: name of the submodule that is the classifier; its input is what "features" means by default.
    """

    def __init__(self, module: nn.Module, head: str) -> None:
        super().__init__()
        if module in _WRAPPED:
            raise UnsupportedError(
                "a network factory returned the same module twice: it must build a new one at each call"
            )
        _WRAPPED.add(module)
        self.module = module
        self.head = head
        self._head_input: Tensor | None = None
        self._features: Callable[[Tensor], Tensor] = self._compute_features
        self._logits: Callable[[Tensor], Tensor] = self.forward
        module.get_submodule(head).register_forward_pre_hook(self._keep)

    def _keep(self, head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._head_input = inputs[0]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits ``n x num_classes``."""
        logits: Tensor = self.module(inputs)
        self._head_input = None
        return logits

    def features(self, inputs: Tensor) -> Tensor:
        """Return the classifier's input, flattened to ``n x d``."""
        return self._features(inputs)

    def logits(self, inputs: Tensor) -> Tensor:
        """Return logits ``n x num_classes`` that can be differentiated once: what the real side needs.

        Second derivatives need the network itself, ``network(inputs)``: compiled code has none.
        """
        return self._logits(inputs)

    def compile_passes(self) -> None:
        """Compile `features` and `logits` (torch.compile); new weights copied into this network keep the compiled code."""
        self._features = torch.compile(self._compute_features, dynamic=False)
        self._logits = torch.compile(self.forward, dynamic=False)

    @contextmanager
    def differentiated(self, names: Sequence[str] = ()) -> Iterator[list[nn.Parameter]]:
        """Let the named weights, and no others, take gradients inside the block; yield them in this order."""
        weights = dict(self.module.named_parameters())
        before = [(w, w.requires_grad) for w in weights.values()]
        try:
            self.module.requires_grad_(False)
            chosen = [weights[name] for name in names]
            for weight in chosen:
                weight.requires_grad_(True)
            yield chosen
        finally:
            for weight, wanted in before:
                weight.requires_grad_(wanted)

    def trained(self) -> AbstractContextManager[list[nn.Parameter]]:
        """Let all weights take gradients inside the block."""
        return self.differentiated([name for name, _ in self.module.named_parameters()])

    def require_independent_examples(self) -> None:
        """Raise `UnsupportedError` if a norm takes its statistics from the batch at hand."""
        for name, module in self.module.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                raise UnsupportedError(
                    f"BatchNorm {name!r} takes its statistics from the batch at hand, so one class would leak into another "
                    "and results would depend on how batches are cut: freeze it (.eval()), or use norm='instance'"
                )

    def _compute_features(self, inputs: Tensor) -> Tensor:
        self.module(inputs)
        return self._take_head_input().flatten(1)

    def layers(self, inputs: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Return the outputs of the named submodules, each flattened to ``n x d_l``."""
        return self._outputs(inputs, names)[0]

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """Return the outputs of all activation modules, from the input on, and the classifier's input: ``n x d_l`` each."""
        outputs, features = self._outputs(inputs, self.activation_names())
        return [*outputs, features.flatten(1)]

    def activation_names(self) -> list[str]:
        """Return the names of the activation modules, or raise `UnsupportedError` if there are none."""
        names = [name for name, module in self.module.named_modules() if isinstance(module, ACTIVATIONS)]
        if not names:
            raise UnsupportedError(
                f"{type(self.module).__name__} has no activation modules whose features could be aligned: use nn.ReLU "
                "modules instead of functions"
            )
        return names

    def _outputs(self, inputs: Tensor, names: Sequence[str]) -> tuple[list[Tensor], Tensor]:
        modules = dict(self.module.named_modules())
        kept: dict[str, Tensor] = {}
        for name in names:
            if name not in modules:
                raise UnknownNameError("layer", name, (n for n in modules if n))
        handles = [modules[n].register_forward_hook(lambda _m, _i, out, n=n: kept.update({n: out})) for n in names]
        try:
            self.module(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return [kept[n].flatten(1) for n in names], self._take_head_input()

    def _take_head_input(self) -> Tensor:
        kept, self._head_input = self._head_input, None
        if kept is None:
            raise UnsupportedError(f"the forward pass never reached the classifier {self.head!r}")
        return kept


def find_head(module: nn.Module, shape: tuple[int, ...], num_classes: int) -> str:
    """Return the name of the linear layer that runs last, found by one forward pass on two blank examples.

    Raises:
        UnsupportedError: there is no linear layer, or the output is not ``n x num_classes``.
    """
    last: list[str] = []
    handles = [
        m.register_forward_pre_hook(lambda _m, _i, n=name: last.append(n))
        for name, m in module.named_modules()
        if isinstance(m, nn.Linear)
    ]
    training = module.training
    parameter = next(module.parameters(), torch.empty(0))
    try:
        module.eval()
        with torch.no_grad():
            output = module(torch.zeros(2, *shape, dtype=parameter.dtype, device=parameter.device))
    except RuntimeError as error:
        raise UnsupportedError(f"the network cannot take examples of shape {shape}: {error}") from error
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    if tuple(output.shape) != (2, num_classes):
        raise UnsupportedError(
            f"the network's output has shape {tuple(output.shape)} for 2 examples: {num_classes} logits each are needed"
        )
    if not last:
        raise UnsupportedError(
            "the network has no linear layer, so its features are not defined: end it with nn.Linear"
        )
    return last[-1]
