"""A queue over all studies: which rows and seeds are open, what each is worth and costs, and the
process that trains them one after another until its time is up."""
