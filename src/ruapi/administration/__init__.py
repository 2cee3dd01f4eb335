"""The use cases of administration, which the command line, the console and the management API all call."""
