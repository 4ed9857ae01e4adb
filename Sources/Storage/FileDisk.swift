import Glibc

/// The machine's own file system.
package struct FileDisk: Disk {
    package init() {}

    package func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        let flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0)
        let descriptor = Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else { throw failure("open", path) }
        return File(descriptor: descriptor, path: path)
    }

    package func list(_ folder: String) throws(StorageError) -> [String] {
        guard let stream = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw failure("list", folder)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    package func makeFolder(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o700) != 0 else { return }
        switch errno {
        case EEXIST:
            var info = stat()
            guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
                errno = ENOTDIR
                throw failure("use as a folder", path)
            }
        case ENOENT where path != parentFolder(of: path):
            try makeFolder(parentFolder(of: path))
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("create", path) }
        default: throw failure("create", path)
        }
    }

    package func rename(_ path: String, to newPath: String) throws(StorageError) {
        guard Glibc.rename(path, newPath) == 0 else { throw failure("rename", path) }
    }

    package func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove", path) }
    }

    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package func syncFolder(_ path: String) throws(StorageError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync", path) }
    }

    package func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { return (0, 0) }
        return (UInt64(info.f_bavail) * UInt64(info.f_frsize), UInt64(info.f_blocks) * UInt64(info.f_frsize))
    }

    fileprivate static func failure(_ operation: String, _ path: String) -> StorageError {
        errno == ENOSPC || errno == EDQUOT ? .full(path: path) : .io(operation: operation, path: path, errno: errno)
    }

    private func failure(_ operation: String, _ path: String) -> StorageError { Self.failure(operation, path) }

    /// As many of `count` bytes as the file has from `offset` on.
    static func read(_ descriptor: Int32, _ path: String, at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        var failed: StorageError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled, offset + filled)
                if got == 0 { return }
                if got < 0 {
                    if errno == EINTR { continue }
                    failed = failure("read", path)
                    return
                }
                filled += got
            }
        }
        if let failed { throw failed }
        return bytes
    }
}

private final class File: DiskFile {
    let path: String
    private let descriptor: Int32

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    func size() throws(StorageError) -> Int {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw FileDisk.failure("stat", path) }
        return Int(info.st_size)
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        try FileDisk.read(descriptor, path, at: offset, count: count)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        var failed: StorageError?
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let put = pwrite(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset + done)
                if put < 0 {
                    if errno == EINTR { continue }
                    failed = FileDisk.failure("write", path)
                    return
                }
                done += put
            }
        }
        if let failed { throw failed }
    }

    func sync() throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw FileDisk.failure("sync", path) }
    }

    func truncate(to size: Int) throws(StorageError) {
        guard ftruncate(descriptor, size) == 0 else { throw FileDisk.failure("truncate", path) }
    }

    func close() { Glibc.close(descriptor) }
}
