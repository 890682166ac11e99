"""The pages, a module each: `routes(site)` says which addresses it answers, and which right each needs."""
