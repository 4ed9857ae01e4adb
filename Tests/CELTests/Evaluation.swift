import CEL
import Primitives

/// Names and what they stand for.
struct Names: CELScope {
    let values: Fields

    func value(of name: String) -> Value? { values[name] }
}

/// The value of an expression over the members of `scope`, which are all the names that exist.
func evaluate(_ text: String, over scope: Value = [:]) throws -> Value {
    let fields = scope.map ?? Fields()
    let expression = try Expression(text, names: fields.members.map(\.key))
    return try expression.evaluate(in: Names(values: fields))
}

/// What reading or evaluating it throws; nil when it has a value.
func failure(_ text: String, over scope: Value = [:]) -> CELError? {
    do {
        _ = try evaluate(text, over: scope)
        return nil
    } catch {
        return error as? CELError
    }
}

/// What reading it throws; nil when it can be read.
func refusal(_ text: String, base: Int = 0, names: [String] = []) -> CELError? {
    do throws(CELError) {
        _ = try Expression(text, base: base, names: names)
        return nil
    } catch {
        return error
    }
}
