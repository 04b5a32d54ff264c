"""Many studies: find them, assess them on dask.distributed, keep a ledger, show the group.

plan (what is there to do) -> run (the workers do it, one study each at a time) -> study (one study, in a worker) ->
output (what is done, on disk) -> table and group_page (what all studies say together).
"""
