"""Programs over ``torch.distributed.rpc``, as they are with torch's own RemoteModule but for one import."""
