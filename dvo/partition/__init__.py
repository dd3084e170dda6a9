"""Where tables live: the sky partition, the files of a database, their commits."""
