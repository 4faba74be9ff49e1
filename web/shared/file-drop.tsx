import { type DragEvent, type ReactNode, useId, useState } from 'react'

interface FileDropProps {
  label: ReactNode
  hint?: ReactNode
  /** As the attribute of an input has it. */
  accept: string
  multiple?: boolean
  onFiles: (files: File[]) => void
}

/** A place to choose files at, or to drop them on. */
export function FileDrop({ label, hint, accept, multiple, onFiles }: FileDropProps) {
  const id = useId()
  const [isOver, setOver] = useState(false)
  const take = (list: FileList | null) => {
    const files = [...(list ?? [])]
    if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1))
  }
  const drag = (over: boolean) => (event: DragEvent) => {
    event.preventDefault()
    setOver(over)
  }
  return (
    <label
      htmlFor={id}
      onDragOver={drag(true)}
      onDragLeave={drag(false)}
      onDrop={(event) => {
        drag(false)(event)
        take(event.dataTransfer.files)
      }}
      className={`flex cursor-pointer flex-col items-center gap-2 rounded-xl border-2 border-dashed p-6 text-center has-focus-visible:outline-3 has-focus-visible:outline-accent ${isOver ? 'border-accent bg-sunken' : 'border-line'}`}
    >
      <span className="font-medium text-accent">{label}</span>
      {hint && <span className="text-muted text-sm">{hint}</span>}
      <input
        id={id}
        type="file"
        accept={accept}
        multiple={multiple}
        className="sr-only"
        onChange={(event) => {
          take(event.target.files)
          // The same file, mended meanwhile, can be chosen once more.
          event.target.value = ''
        }}
      />
    </label>
  )
}
