/** Why a file or folder that somebody named cannot be read, in words for that person. */
export const fileProblem = (error: unknown, what: "file" | "folder" = "file"): string => {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case "ENOENT":
      return `there is no such ${what}`
    case "ENOTDIR":
      return what === "folder" ? "it is a file, not a folder" : "a part of its path is a file, not a folder"
    case "EISDIR":
      return "it is a folder, not a file"
    case "EACCES":
    case "EPERM":
      return `this process may not read it${process.getuid === undefined ? "" : `: it runs as user ${process.getuid()}`}`
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
