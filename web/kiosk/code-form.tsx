import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'

interface CodeFormProps {
  /** Undefined where the person would rather not. */
  onAnswer: (code: string | undefined) => void
}

/** Asks for the employee code, where the face alone does not tell two people apart. */
export function CodeForm({ onAnswer }: CodeFormProps) {
  const { t } = useTranslation()
  const [code, setCode] = useState('')
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onAnswer(code.trim())
  }
  const button = 'min-h-20 flex-1 rounded-2xl font-semibold text-2xl'
  return (
    <form
      onSubmit={submit}
      className="absolute inset-0 flex flex-col justify-center gap-6 bg-slate-900 p-6 sm:p-16"
    >
      <label htmlFor="employee-code" className="text-balance font-semibold text-3xl sm:text-5xl">
        {t('kiosk.askCode')}
      </label>
      <input
        id="employee-code"
        value={code}
        onChange={({ target }) => setCode(target.value)}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        maxLength={64}
        required
        ref={(input) => input?.focus()}
        className="rounded-2xl bg-white px-6 py-5 font-mono text-4xl text-black"
      />
      <div className="flex gap-4">
        <button
          type="button"
          onClick={() => onAnswer(undefined)}
          className={`${button} border-2 border-white/60`}
        >
          {t('common.cancel')}
        </button>
        <button type="submit" className={`${button} bg-white text-black`}>
          {t('kiosk.goOn')}
        </button>
      </div>
    </form>
  )
}
