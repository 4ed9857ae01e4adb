import Primitives
import Wire

/// One direction of a connection, as its sender has it: the bytes that it writes come in their order, until it ends.
struct SimulatedConnection {
    /// What becomes of the next frame.
    enum Trouble {
        /// The connection ends in the middle of it, and another one begins.
        case cut
        /// Its end is late, and comes when another connection has long begun.
        case late
    }

    /// Numbered over all of them; 0 is none.
    var number: UInt64 = 0
    /// When the last byte that was written comes.
    var arrives: Int64 = 0
    var trouble: Trouble?
    /// What is written until then nobody reads.
    var silentUntil: Int64 = 0
    /// The other side had taken it, and then said nothing.
    var isAccepted = false
    /// Until then each byte comes alone.
    var dribblesUntil: Int64 = 0
}

/// The same, as its receiver has it.
struct InboundStream {
    var decoder = FrameDecoder()
    /// Of the process that it was opened to: another one has not heard of it.
    let boot: UInt32
}
