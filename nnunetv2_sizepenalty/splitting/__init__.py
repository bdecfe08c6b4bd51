"""Which cases train, validate and test: folds by groups, strata and sites, and the tables that name them."""
