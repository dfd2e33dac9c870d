"""Architecture search on proxy datasets, and the evidence whether their ranking can be trusted.

Nothing here imports NNI until a space of its is used.

```python
import ddcore as dd
from ddapps.nas import rank_correlation

found = rank_correlation([71.0, 64.5, 80.2, 77.0], [91.2, 90.1, 93.0, 93.4], top=(1,))
```
"""

from ddapps.nas.candidates import Workers
from ddapps.nas.correlation import RankCorrelation, TauDifference, rank_correlation, split_half_tau, tau_difference
from ddapps.nas.dataset import ProxyDataset, make_proxy
from ddapps.nas.evaluator import PROXY, SCORES, Measurement, ProxyEvaluator
from ddapps.nas.outcomes import Agreement, Ranking, Row
from ddapps.nas.plot import plot
from ddapps.nas.proxies import EarlyStopping, Proxy, SummaryProxy, parse_proxies
from ddapps.nas.rank import rank
from ddapps.nas.reporting import reporting
from ddapps.nas.search import STRATEGIES, Found, search
from ddapps.nas.spaces import SPACES, Candidate, ConvNetSpace, NasBench201, SearchSpace, UserSpace, as_space
from ddapps.nas.truth import FULL, Table, Truth, load_table

__all__ = [
    "FULL",
    "PROXY",
    "SCORES",
    "SPACES",
    "STRATEGIES",
    "Agreement",
    "Candidate",
    "ConvNetSpace",
    "EarlyStopping",
    "Found",
    "Measurement",
    "NasBench201",
    "Proxy",
    "ProxyDataset",
    "ProxyEvaluator",
    "RankCorrelation",
    "Ranking",
    "Row",
    "SearchSpace",
    "SummaryProxy",
    "Table",
    "TauDifference",
    "Truth",
    "UserSpace",
    "Workers",
    "as_space",
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
