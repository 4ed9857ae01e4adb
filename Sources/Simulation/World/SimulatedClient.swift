import Primitives

/// One client: a session of requests, one at a time, each tried again under its number until it is answered or given up.
struct SimulatedClient {
    enum Request: Equatable {
        case open
        case command(KeyValueMachine.Command)
        case readRegister(UInt8)
        case readList(UInt8)
    }

    struct Working {
        var request: Request
        /// Told apart by these, and numbered over all clients.
        var attempt: UInt64
        var attempts = 1
        var server: Int
        var began: Int64
        /// What was acknowledged to anybody before the read was asked for.
        var floor: LogIndex
        /// Handed to a server that has not answered yet.
        var isAsked = false
        /// One of those that were asked has never answered: it may happen still.
        var isUncertain = false
    }

    let number: Int
    /// Another one after an outcome that nobody came to know, as a client that starts anew.
    var process: Int
    /// Nil until one is open.
    var session: UInt64?
    var sequence: UInt64 = 0
    var working: Working?
    /// Who it thinks leads.
    var hint: Int?
}
