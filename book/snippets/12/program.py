from hornbook.align.rewards import defines, is_json, same_number

answers = ["17 + 25 = 42", "42, no: 43", "#### 42 and the rest is 43"]
for answer in [*answers, "40 41 42", "forty-two"]:
    print(same_number(answer, "42"), repr(answer))

print(is_json('{"sum": 42}', ("sum",)), is_json("{}", ("sum",)))
print(defines("def add(a, b):\n    return a + b", "add", "a, b"))
print(defines("def add(a, b):\n    pass", "add", "a, b"))
