"""`nnUNetv2_sizepenalty SUBCOMMAND`: one thin module per subcommand, each with `add_arguments` and `run`."""
