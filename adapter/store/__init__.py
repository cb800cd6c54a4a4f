"""What is kept between commands: the record of every job, and the folder that holds its files."""
