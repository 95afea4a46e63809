"""Statements as psql runs them, each predicted from its text right before it runs.

usage: ahead.py FILE                        FILE holds statements for psql, one a line
       ahead.py fill RUNS FILE ...          RUNS executions of pgbench scripts with
                                            their variables drawn, shuffled, for psql
"""
import random
import re
import sys


def fill(rng, script):
    """One execution of a script of \\set and one statement."""
    values = {}
    for name, what in re.findall(r"^\\set (\w+) (.*)$", script, re.M):
        drawn = re.fullmatch(r"random\((\d+), (\d+)\)", what.strip())
        values[name] = str(rng.randint(int(drawn[1]), int(drawn[2]))) if drawn else what.strip()
    text = " ".join(line for line in script.splitlines() if not line.startswith("\\"))
    return re.sub(r"(?<!:):(\w+)", lambda m: values.get(m[1], m[0]), text)


def main():
    if sys.argv[1] == "fill":
        rng = random.Random(1)
        scripts = [open(path).read() for path in sys.argv[3:]] * int(sys.argv[2])
        rng.shuffle(scripts)
        print("SET search_path = shop, public;")
        for script in scripts:
            text = fill(rng, script).strip().rstrip(";")
            if ";" not in text and "\\" not in text:
                print(f"{text};" if text.startswith("SELECT") else f"BEGIN;\n{text};\nROLLBACK;")
        return
    for i, line in enumerate(open(sys.argv[1])):
        line = line.rstrip("\n")
        if re.match(r"SET|BEGIN|ROLLBACK", line):
            print(line)
            continue
        print(f"INSERT INTO ahead SELECT {i}, queryid, ln(predicted_execution_time_ms), ln(lower_bound_ms), ln(upper_bound_ms), source "
              f"FROM predict_query_execution($_${line.rstrip(';')}$_$);\n{line}")


if __name__ == "__main__":
    main()
