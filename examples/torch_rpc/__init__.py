"""Programs over ``torch.distributed.rpc`` that differ only in one import from those with torch's own RemoteModule."""
