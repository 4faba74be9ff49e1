import { usePeopleError } from './faults.ts'

/** Why something did not work; nothing where it did. */
export function ErrorAlert({ error }: { error: unknown }) {
  const errorOf = usePeopleError()
  if (!error) return null
  return (
    <p role="alert" className="text-bad text-sm">
      {errorOf(error)}
    </p>
  )
}
