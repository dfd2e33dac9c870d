"""Architecture search on proxy datasets, and the evidence whether their ranking can be trusted.

Nothing here imports NNI until a space of its is used. Files stand on floors, from the bottom:

1. Spaces: `grid` (choices and networks), `model_spaces` (NNI's view), `search_space`, `user_space`,
   `spaces` (by name).
2. Scores: `measurement`, `free` (without training), `combination`, `evaluator`, `candidates` (many
   at once), `correlation`, `truth`.
3. Proxies: `bench`, `trials` (what is measured), `proxy`, `proxies`, `combined`, `by_name`;
   `outcomes`, `compared`, `equal_cost`.
4. Uses: `rank` compares proxies, `make` makes one, by `auto` too, `dataset` keeps it with its
   evidence, `stored` names it for other processes, `search` searches on it.

```python
import ddcore as dd
from ddapps.nas import rank_correlation

found = rank_correlation([71.0, 64.5, 80.2, 77.0], [91.2, 90.1, 93.0, 93.4], top=(1,))
```
"""

from ddapps.nas.by_name import parse_proxies
from ddapps.nas.combination import Combination, fit
from ddapps.nas.combined import CombinedProxy
from ddapps.nas.correlation import (
    RankCorrelation,
    TauDifference,
    better_half,
    rank_correlation,
    split_half_tau,
    tau_difference,
)
from ddapps.nas.dataset import ProxyDataset
from ddapps.nas.evaluator import PROXY, ProxyEvaluator
from ddapps.nas.free import FREE, FreeEvaluator
from ddapps.nas.make import make_proxy
from ddapps.nas.measurement import SCORES, Counted, Measurement
from ddapps.nas.outcomes import Agreement, Ranking, Row
from ddapps.nas.plot import plot
from ddapps.nas.proxies import EarlyStopping, SummaryProxy
from ddapps.nas.proxy import FreeProxy, Proxy
from ddapps.nas.rank import rank
from ddapps.nas.reporting import reporting
from ddapps.nas.search import STRATEGIES, Found, search
from ddapps.nas.search_space import Candidate, SearchSpace
from ddapps.nas.spaces import SPACES, ConvNetSpace, NasBench201, as_space
from ddapps.nas.stored import StoredEvaluator
from ddapps.nas.truth import FULL, Table, Truth, load_table
from ddapps.nas.user_space import UserSpace

__all__ = [
    "FREE",
    "FULL",
    "PROXY",
    "SCORES",
    "SPACES",
    "STRATEGIES",
    "Agreement",
    "Candidate",
    "Combination",
    "CombinedProxy",
    "ConvNetSpace",
    "Counted",
    "EarlyStopping",
    "Found",
    "FreeEvaluator",
    "FreeProxy",
    "Measurement",
    "NasBench201",
    "Proxy",
    "ProxyDataset",
    "ProxyEvaluator",
    "RankCorrelation",
    "Ranking",
    "Row",
    "SearchSpace",
    "StoredEvaluator",
    "SummaryProxy",
    "Table",
    "TauDifference",
    "Truth",
    "UserSpace",
    "as_space",
    "better_half",
    "fit",
    "load_table",
    "make_proxy",
    "parse_proxies",
    "plot",
    "rank",
    "rank_correlation",
    "reporting",
    "search",
    "split_half_tau",
    "tau_difference",
]
