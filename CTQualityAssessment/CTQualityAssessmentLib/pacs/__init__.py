"""An archive (PACS): find its CT series, fetch, assess and send back what came of them, each once.

query (which series) -> archive (DICOMweb or DIMSE) -> plan (what is left) -> series (one series, in a worker) ->
outbox (what is to be sent back). Workers, ledger, table and page of the group are those of ``batch``.
"""
