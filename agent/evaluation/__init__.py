"""How good a reader is: its reports over labelled films, against their labels and reports."""
