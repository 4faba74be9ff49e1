import { useQueryClient } from '@tanstack/react-query'
import { useToast } from '../../shared/toast.tsx'
import { type Employee, keyOf } from './people.ts'

/** What every act on a person does when it is done: reads all of them anew, says so, and closes what asked for it. */
export function useDone(employee: Employee, onClose: () => void) {
  const tell = useToast()
  const queries = useQueryClient()
  return (text: string) => {
    queries.invalidateQueries({ queryKey: keyOf(employee.employee_id) })
    queries.invalidateQueries({ queryKey: ['employees'] })
    tell(text)
    onClose()
  }
}
