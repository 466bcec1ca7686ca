"""torch.fx: a module's forward recorded as a graph of its Python calls, to look at and rewrite.

`symbolic_trace(module)` calls the module with stand-ins (`Proxy`) and gives a `GraphModule`, whose
`graph` can be changed and whose `code` is Python made from it. This graph is of the program's own
calls; the graph that Twofold compiles is another, below it.
"""

from ..errors import explain_missing as _explain_missing
from . import graph, graph_module, node, proxy, tracer
from .graph import CodeGen, Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, map_arg
from .proxy import Proxy
from .rewriter import Match, replace_pattern
from .tracer import Tracer, symbolic_trace, wrap

__getattr__ = _explain_missing(__name__, dir())
