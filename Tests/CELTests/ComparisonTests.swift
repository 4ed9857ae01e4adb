import CEL
import Primitives
import Testing

/// Common Expression Language specification, "Equality" and "Ordering".
struct ComparisonTests {
    private let scope: Value = [
        "a": [1, 2], "b": [1, 2.0], "m": ["x": 1, "y": 2], "n": ["y": 2, "x": 1], "empty": [],
    ]

    static let equality: [(String, Bool)] = [
        ("1 == 1.0", true), ("1u == 1", true), ("1 == '1'", false), ("1 != '1'", true), ("null == null", true), ("null == false", false),
        ("true == 1", false), ("'a' == 'a'", true), ("'a' == 'A'", false), ("0.0 == -0.0", true), ("0.1 == 0.1", true),
        ("9007199254740993 == 9007199254740992.0", false), ("9007199254740992 == 9007199254740992.0", true),
        ("18446744073709551615u == 18446744073709551616.0", false), (#"'\u00e9' == 'e\u0301'"#, false), ("a == b", true), ("a != b", false),
        ("m == n", true), ("a == m", false), ("empty == null", false), ("empty == ''", false),
    ]

    @Test(arguments: ComparisonTests.equality)
    func `any two values are equal or not, numbers by their value`(text: String, expected: Bool) throws {
        let value = try evaluate(text, over: scope)
        #expect(value == .bool(expected))
    }

    static let order: [(String, Bool)] = [
        ("1 < 2", true), ("2 <= 2", true), ("2 < 2", false), ("2 >= 2.0", true), ("1 < 1.5", true), ("2u > 1", true), ("-1 > 1u", false),
        ("'a' < 'b'", true), ("'a' < 'B'", false), ("'Z' < 'é'", true), ("'' < 'a'", true), ("'a' < 'aa'", true), ("false < true", true),
        ("true <= true", true), ("true > true", false), ("9007199254740993 > 9007199254740992.0", true),
        ("18446744073709551615u > -1", true), ("18446744073709551615u < 18446744073709551616.0", true),
        ("-9223372036854775808 < -1e19", false),
    ]

    @Test(arguments: ComparisonTests.order)
    func `numbers, strings and booleans are ordered, numbers exactly`(text: String, expected: Bool) throws {
        let value = try evaluate(text)
        #expect(value == .bool(expected))
    }

    static let withoutOverload: [(String, CELError)] = [
        ("1 < 'a'", CELError(.noSuchOverload("'<' between a number and a string"), at: 2)),
        ("null <= null", CELError(.noSuchOverload("'<=' between a null and a null"), at: 5)),
        ("true >= 1", CELError(.noSuchOverload("'>=' between a bool and a number"), at: 5)),
        ("a > b", CELError(.noSuchOverload("'>' between a list and a list"), at: 2)),
        ("m < n", CELError(.noSuchOverload("'<' between a map and a map"), at: 2)),
        ("!1", CELError(.noSuchOverload("'!' of what is no boolean"), at: 0)),
        ("true == !null", CELError(.noSuchOverload("'!' of what is no boolean"), at: 8)),
        ("-'a'", CELError(.noSuchOverload("'-' of a string"), at: 0)),
        ("-true", CELError(.noSuchOverload("'-' of a bool"), at: 0)),
        ("true && 1", CELError(.noSuchOverload("'&&' or '||' of a number"), at: 5)),
        ("'x' || false", CELError(.noSuchOverload("'&&' or '||' of a string"), at: 4)),
    ]

    @Test(arguments: ComparisonTests.withoutOverload)
    func `what no operator is for is an error at the operator`(text: String, expected: CELError) {
        #expect(failure(text, over: scope) == expected)
    }

    // MARK: Logic

    static let absorbed: [(String, Bool)] = [
        ("m.none && false", false), ("false && m.none", false), ("m.none || true", true), ("true || m.none", true), ("1 && false", false),
        ("false && 'x'", false), ("1 || true", true), ("true || null", true), ("(m.none && true) || true", true),
        ("(m.none || false) && false", false), ("!(false && m.none)", true), ("a[9] == 1 || a[0] == 1", true),
    ]

    @Test(arguments: ComparisonTests.absorbed)
    func `the side that decides makes an error on the other side no error`(text: String, expected: Bool) throws {
        let value = try evaluate(text, over: scope)
        #expect(value == .bool(expected))
    }

    static let undecided: [(String, CELError)] = [
        ("m.none && true", CELError(.noSuchField("m.none"), at: 1)),
        ("true && m.none", CELError(.noSuchField("m.none"), at: 9)),
        ("m.none || false", CELError(.noSuchField("m.none"), at: 1)),
        ("false || m.none", CELError(.noSuchField("m.none"), at: 10)),
        ("(m.none || true) && m.other", CELError(.noSuchField("m.other"), at: 21)),
    ]

    @Test(arguments: ComparisonTests.undecided)
    func `without a side that decides the error stays`(text: String, expected: CELError) {
        #expect(failure(text, over: scope) == expected)
    }
}
