/** Has the browser keep a file that is here already, under a name. */
export function saveFile(file: Blob, name: string): void {
  const url = URL.createObjectURL(file)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // Not at once: a browser may only begin to read it now.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
