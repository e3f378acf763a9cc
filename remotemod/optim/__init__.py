"""One optimizer over parameters anywhere: a torch optimizer on each owner, all of which run at the same time."""
