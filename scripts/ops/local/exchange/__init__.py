"""A private Alpaca on loopback: data and trading API over a bars file or a synthetic market, with faults on request."""

from ops.local.exchange.faults import Fault
from ops.local.exchange.market import BadMarketFile, Headline, Market, load_csv
from ops.local.exchange.server import Exchange, Seen

__all__ = ["BadMarketFile", "Exchange", "Fault", "Headline", "Market", "Seen", "load_csv"]
