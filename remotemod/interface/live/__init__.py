"""Read interfaces from live objects: classes, instances, protocols and TorchScript's own."""
