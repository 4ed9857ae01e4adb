/// Why an attempt did not succeed.
package struct TaskError: Error, Equatable, Sendable {
    /// A stable word: `exit_code`, `signal`, `http_status`, `timeout`, `template_error`, `not_allowed`, ...
    package var type: String
    package var message: String
    /// HTTP status or exit code, when there is one.
    package var status: Int?

    package init(type: String, message: String, status: Int? = nil) {
        self.type = type
        self.message = message
        self.status = status
    }

    package var value: Value {
        .object(["type": .string(type), "message": .string(message), "status": status.map { Value($0) }])
    }
}

/// How an attempt ended.
package enum AttemptOutcome: Equatable, Sendable {
    case succeeded(Value)
    case failed(TaskError)
    case timedOut(TaskError)
    case cancelled
    /// It began, and nobody knows how it ended.
    case lost
    /// It never began: another attempt is free.
    case neverStarted
}
