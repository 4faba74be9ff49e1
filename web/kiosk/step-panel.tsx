import { useTranslation } from 'react-i18next'
import type { Step } from './check.ts'

const symbols: Record<Step | 'rest', string> = {
  rest: '●',
  turn_left: '←',
  turn_right: '→',
  look_up: '↑',
  look_down: '↓',
  blink: '– –',
}

interface StepPanelProps {
  step: Step | 'rest'
  number: number
  of: number
  taking: boolean
}

/** One step of a challenge, large and plain. The screen is a mirror: the person's left is its left. */
export function StepPanel({ step, number, of, taking }: StepPanelProps) {
  const { t } = useTranslation()
  return (
    <div
      role="status"
      data-step={step}
      className="absolute inset-x-0 bottom-0 flex flex-col items-center gap-4 rounded-t-[3rem] bg-slate-900 p-8 pb-12 text-center"
    >
      <p aria-hidden="true" className="font-semibold text-[clamp(5rem,18vw,12rem)] leading-none">
        {symbols[step]}
      </p>
      <p className="text-balance font-semibold text-[clamp(2.25rem,6vw,5rem)] leading-tight">
        {t(`step.${step}`)}
      </p>
      <p className="text-2xl text-white/85">
        {taking ? t('step.hold') : t('step.ready')}
        {number > 0 && ` · ${number}/${of}`}
      </p>
    </div>
  )
}
