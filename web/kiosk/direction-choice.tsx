import { useTranslation } from 'react-i18next'
import type { Direction } from './check.ts'

const choices = ['IN', 'AUTO', 'OUT'] as const

export function DirectionChoice({
  chosen,
  onChoose,
}: {
  chosen: Direction
  onChoose: (direction: Direction) => void
}) {
  const { t } = useTranslation()
  return (
    <fieldset className="flex gap-3">
      <legend className="sr-only">{t('kiosk.direction')}</legend>
      {choices.map((direction) => (
        <button
          key={direction}
          type="button"
          aria-pressed={chosen === direction}
          onClick={() => onChoose(direction)}
          className="min-h-16 min-w-24 rounded-2xl border-2 border-white/60 bg-black/60 px-5 font-semibold text-xl aria-pressed:border-white aria-pressed:bg-white aria-pressed:text-black sm:min-w-32 sm:text-2xl"
        >
          {t(`kioskDirection.${direction}`)}
        </button>
      ))}
    </fieldset>
  )
}

export function DirectionSign({ direction }: { direction: 'IN' | 'OUT' }) {
  const { t } = useTranslation()
  return (
    <p className="rounded-2xl bg-white px-6 py-3 font-semibold text-2xl text-black">
      {t(`kioskDirection.${direction}`)}
    </p>
  )
}
