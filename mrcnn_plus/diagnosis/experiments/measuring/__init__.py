"""Runs the experiments: these modules build graphs, train and detect, and give results to the rules beside them."""
