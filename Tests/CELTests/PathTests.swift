import CEL
import Primitives
import Testing

/// Common Expression Language specification, "Field Selection" and "Indexing".
struct PathTests {
    private let scope: Value = [
        "data": ["items": [["sku": "a"], ["sku": "b"]], "a.b": 1, "name": "x", "nothing": nil, "one": 1, "key": "name"],
        "type": "order",
    ]

    static let found: [(String, Value)] = [
        ("type", "order"), ("data.name", "x"), ("data['name']", "x"), ("data[\"a.b\"]", 1), ("data.items[1].sku", "b"),
        ("data['items'][0]['sku']", "a"), ("data.items[data.one].sku", "b"), ("data[data.key]", "x"), ("(data).name", "x"),
        ("(data.items)[0].sku", "a"), ("data.nothing", nil), ("data.nothing == null", true), ("data.items[0] == data.items[1]", false),
    ]

    @Test(arguments: PathTests.found)
    func `a path leads through maps by key and through lists by position`(text: String, expected: Value) throws {
        let value = try evaluate(text, over: scope)
        #expect(value == expected)
    }

    static let missing: [(String, CELError)] = [
        ("data.nope", CELError(.noSuchField("data.nope"), at: 4)),
        ("data.nope.deeper", CELError(.noSuchField("data.nope"), at: 4)),
        ("data['no pe']", CELError(.noSuchField("data[\"no pe\"]"), at: 4)),
        ("data.items[0].nope", CELError(.noSuchField("data.items[0].nope"), at: 13)),
        ("data.items[2]", CELError(.indexOutOfRange(2, count: 2), at: 10)),
        ("data.items[-1]", CELError(.indexOutOfRange(-1, count: 2), at: 10)),
        ("data.items['x']", CELError(.noSuchOverload("a list indexed by a string"), at: 10)),
        ("data.items[0.0]", CELError(.noSuchOverload("a list indexed by a number"), at: 10)),
        ("data.items[true]", CELError(.noSuchOverload("a list indexed by a bool"), at: 10)),
        ("data[0]", CELError(.noSuchOverload("a map indexed by a number"), at: 4)),
        ("data.name.x", CELError(.noSuchOverload("field 'x' of a string"), at: 9)),
        ("data.nothing.x", CELError(.noSuchOverload("field 'x' of a null"), at: 12)),
        ("type[0]", CELError(.noSuchOverload("a string indexed by a number"), at: 4)),
    ]

    @Test(arguments: PathTests.missing)
    func `a path that leads nowhere is an error where it leaves the data`(text: String, expected: CELError) {
        #expect(failure(text, over: scope) == expected)
    }

    @Test func `a name that exists and has no value is a missing field`() throws {
        let expression = try Expression("1 == subject", names: ["subject"])
        #expect(throws: CELError(.noSuchField("subject"), at: 5)) { try expression.evaluate(in: Names(values: Fields())) }
    }

    @Test func `an expression tells the paths that it reads`() throws {
        let text = "data.a == 1 && type != data['b'].c || !(data.items[0].x < -data.n) && data[data.key] == 'k'"
        let expression = try Expression(text, names: ["data", "type"])
        let expected = [["data", "a"], ["type"], ["data", "b", "c"], ["data", "items"], ["data", "n"], ["data"], ["data", "key"]]
        #expect(expression.paths == expected)
    }
}
