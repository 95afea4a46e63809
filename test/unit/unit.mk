# Unit tests of the pure half, without any PostgreSQL include path.
unit:
	@echo "no unit tests yet"
