import { useErrorText } from './error-text.ts'

/** Why something was not done, below a form; nothing where there is no error. */
export function Refusal({ error }: { error: unknown }) {
  const errorText = useErrorText()
  if (!error) return null
  return (
    <p role="alert" className="text-bad text-sm">
      {errorText(error)}
    </p>
  )
}
